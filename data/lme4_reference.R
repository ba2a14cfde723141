# Writes every file of this folder but models.csv (which model is fitted to which data) and exact.csv
# (the exact optima): the data sets as CSV, columns.csv (the type and level order of their columns),
# lme4_fits.csv (lme4's ML and REML fits, and their distance from the exact optimum) and versions.csv.
#
#   apt-get install --no-install-recommends r-base-core r-cran-lme4 r-cran-nlme r-cran-mlmrev
#   cd data && Rscript lme4_reference.R

suppressMessages({ library(nlme); library(lme4); library(mlmRev) })
models <- read.csv("models.csv")
digits17 <- function(x) sprintf("%.17g", x)

write_data <- function(name, dat) {
  file <- paste0(name, if (nrow(dat) > 5000) ".csv.gz" else ".csv")
  con <- if (nrow(dat) > 5000) gzfile(file, "wb", compression = 9) else file
  write.csv(dat, con, row.names = FALSE, quote = FALSE)
  if (inherits(con, "connection")) close(con)
  data.frame(
    data = name, column = names(dat),
    type = sapply(dat, function(x) if (is.ordered(x)) "ordered" else if (is.factor(x)) "factor" else "number"),
    levels = sapply(dat, function(x) paste(levels(x), collapse = "|")))
}

# Names as lmm writes them: Intercept, Machine[T.B], Subject:Days.
coefficient_names <- function(fit) {
  names <- sub("(Intercept)", "Intercept", names(fixef(fit)), fixed = TRUE)
  frame <- model.frame(fit)
  for (f in names(frame)[sapply(frame, is.factor)])
    for (level in levels(frame[[f]]))
      names[names == paste0(f, level)] <- paste0(f, "[T.", level, "]")
  names
}

fit_model <- function(name, lmer_formula, dat, reml) {
  fit <- lmer(as.formula(lmer_formula), dat, REML = reml)
  v <- as.data.frame(VarCorr(fit))
  block <- sub("\\.[0-9]+$", "", v$grp)
  block <- ifelse(is.na(v$var1) | v$var1 == "(Intercept)", block, paste(block, v$var1, sep = ":"))
  x <- coefficient_names(fit)
  rows <- function(quantity, term, value)
    data.frame(data = name, method = if (reml) "REML" else "ML", quantity, term, lme4 = unname(value))
  rbind(rows("criterion", "", -2 * as.numeric(logLik(fit))),
        rows("sd", block, v$sdcor),
        rows("beta", x, fixef(fit)),
        rows("se", x, sqrt(diag(as.matrix(vcov(fit))))))
}

columns <- fits <- NULL
for (i in seq_len(nrow(models))) {
  m <- models[i, ]
  if (m$package == "mlmRev") data(list = m$name, package = "mlmRev")
  dat <- as.data.frame(eval(parse(text = m$object)))
  names <- colnames(dat)
  dat <- setNames(data.frame(lapply(names, function(x) dat[[x]])), names)   # no grouped-data classes
  columns <- rbind(columns, write_data(m$name, dat))
  for (reml in c(FALSE, TRUE)) fits <- rbind(fits, fit_model(m$name, m$lmer, dat, reml))
}

exact <- read.csv("exact.csv")
key <- function(d) paste(d$data, d$method, d$quantity, d$term)
fits$exact <- exact$exact[match(key(fits), key(exact))]
fits$distance <- fits$lme4 - fits$exact
for (column in c("lme4", "exact", "distance"))
  fits[[column]] <- ifelse(is.na(fits[[column]]), "", digits17(fits[[column]]))
write.csv(fits, "lme4_fits.csv", row.names = FALSE, quote = FALSE)
write.csv(columns, "columns.csv", row.names = FALSE, quote = FALSE)
packages <- c("lme4", "nlme", "mlmRev", "Matrix")
write.csv(data.frame(
  software = c("R", packages, "BLAS"),
  version = c(paste(R.version$major, R.version$minor, sep = "."),
              sapply(packages, function(p) as.character(packageVersion(p))),
              basename(La_library()))),
  "versions.csv", row.names = FALSE, quote = FALSE)
