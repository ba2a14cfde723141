# Writes every file of this folder but models.csv and vector_models.csv (which models are fitted to which data) and exact.csv
# (the exact optima): the data sets as CSV, columns.csv (the type and level order of their columns),
# lme4_fits.csv (lme4's ML and REML fits, and their distance from the exact optimum), lme4_inference.csv
# (what lme4 and lmerTest make of these fits; not for InstEval), lme4_vector_fits.csv (the criterion of models with
# vector-valued terms where lme4 stops, and where it stops with another optimiser and tight tolerances) and versions.csv.
#
#   apt-get install --no-install-recommends r-base-core r-cran-lme4 r-cran-nlme r-cran-mlmrev r-cran-lmertest
#   cd data && Rscript lme4_reference.R

suppressMessages({ library(nlme); library(lme4); library(mlmRev); library(lmerTest) })
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

block_names <- function(group, variable) {
  group <- sub("\\.[0-9]+$", "", group)
  ifelse(is.na(variable) | variable == "(Intercept)", group, paste(group, variable, sep = ":"))
}

fit_model <- function(name, lmer_formula, dat, reml) {
  fit <- lme4::lmer(as.formula(lmer_formula), dat, REML = reml)
  v <- as.data.frame(VarCorr(fit))
  block <- block_names(v$grp, v$var1)
  x <- coefficient_names(fit)
  rows <- function(quantity, term, value)
    data.frame(data = name, method = if (reml) "REML" else "ML", quantity, term, lme4 = unname(value))
  rbind(rows("criterion", "", -2 * as.numeric(logLik(fit))),
        rows("sd", block, v$sdcor),
        rows("beta", x, fixef(fit)),
        rows("se", x, sqrt(diag(as.matrix(vcov(fit))))))
}

# Modes and their standard deviations, leverages and Cook's distances, Satterthwaite's degrees of freedom and p-values,
# AIC and BIC, Wald intervals, and for ML the profile intervals.
infer_model <- function(name, lmer_formula, dat, reml) {
  fit <- lmerTest::lmer(as.formula(lmer_formula), dat, REML = reml)
  plain <- lme4::lmer(as.formula(lmer_formula), dat, REML = reml)
  x <- coefficient_names(plain)
  rows <- function(quantity, term, level, value)
    data.frame(data = name, method = if (reml) "REML" else "ML", quantity, term, level, lme4 = unname(value))
  modes <- as.data.frame(ranef(plain, condVar = TRUE))
  block <- block_names(as.character(modes$grpvar), as.character(modes$term))
  tests <- coef(summary(fit))
  few <- seq_len(min(nrow(dat), 200))
  wald <- confint(plain, method = "Wald", parm = "beta_")
  out <- rbind(rows("theta", block_names(as.data.frame(VarCorr(plain))$grp, as.data.frame(VarCorr(plain))$var1), "",
                    as.data.frame(VarCorr(plain))$sdcor),
               rows("mode", block, modes$grp, modes$condval), rows("mode_sd", block, modes$grp, modes$condsd),
               rows("leverage", "", few, hatvalues(plain)[few]), rows("cooks_distance", "", few, cooks.distance(plain)[few]),
               rows("fitted", "", few, fitted(plain)[few]),
               rows("df", x, "", tests[, "df"]), rows("pvalue", x, "", tests[, "Pr(>|t|)"]),
               rows("aic", "", "", AIC(plain)), rows("bic", "", "", BIC(plain)),
               rows("wald", x, "lower", wald[, 1]), rows("wald", x, "upper", wald[, 2]))
  if (!reml) {
    intervals <- confint(profile(plain, signames = FALSE, devtol = 1e-7))
    v <- as.data.frame(VarCorr(plain), order = "lower.tri")
    terms <- c(block_names(v$grp, v$var1), x)
    out <- rbind(out, rows("profile", terms, "lower", intervals[, 1]), rows("profile", terms, "upper", intervals[, 2]))
  }
  out
}

columns <- fits <- inferences <- NULL
for (i in seq_len(nrow(models))) {
  m <- models[i, ]
  if (m$package == "mlmRev") data(list = m$name, package = "mlmRev")
  dat <- as.data.frame(eval(parse(text = m$object)))
  names <- colnames(dat)
  dat <- setNames(data.frame(lapply(names, function(x) dat[[x]])), names)   # no grouped-data classes
  columns <- rbind(columns, write_data(m$name, dat))
  for (reml in c(FALSE, TRUE)) fits <- rbind(fits, fit_model(m$name, m$lmer, dat, reml))
  if (m$name != "InstEval")
    for (reml in c(FALSE, TRUE)) inferences <- rbind(inferences, infer_model(m$name, m$lmer, dat, reml))
}
inferences$lme4 <- ifelse(is.na(inferences$lme4), "", digits17(inferences$lme4))
write.csv(inferences, "lme4_inference.csv", row.names = FALSE, quote = FALSE)

# Models with vector-valued terms: data sets that are not there yet, and the criterion.
vector_models <- read.csv("vector_models.csv")
vector_fits <- NULL
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5))
for (i in seq_len(nrow(vector_models))) {
  m <- vector_models[i, ]
  if (m$package == "mlmRev") data(list = m$data, package = "mlmRev")
  whole <- as.data.frame(eval(parse(text = m$object)))
  names <- strsplit(m$columns, " ")[[1]]
  dat <- setNames(data.frame(lapply(names, function(x) whole[[x]])), gsub(".", "_", names, fixed = TRUE))
  if (!(m$data %in% columns$data)) columns <- rbind(columns, write_data(m$data, dat))
  for (reml in c(FALSE, TRUE)) {
    fit <- suppressMessages(suppressWarnings(lme4::lmer(as.formula(m$lmer), dat, REML = reml)))
    best <- suppressMessages(suppressWarnings(lme4::lmer(as.formula(m$lmer), dat, REML = reml, control = tight)))
    vector_fits <- rbind(vector_fits, data.frame(
      model = m$name, method = if (reml) "REML" else "ML", lme4 = digits17(-2 * as.numeric(logLik(fit))),
      tight = digits17(-2 * as.numeric(logLik(best))), singular = isSingular(best)))
  }
}
write.csv(vector_fits, "lme4_vector_fits.csv", row.names = FALSE, quote = FALSE)

exact <- read.csv("exact.csv")
key <- function(d) paste(d$data, d$method, d$quantity, d$term)
fits$exact <- exact$exact[match(key(fits), key(exact))]
fits$distance <- fits$lme4 - fits$exact
for (column in c("lme4", "exact", "distance"))
  fits[[column]] <- ifelse(is.na(fits[[column]]), "", digits17(fits[[column]]))
write.csv(fits, "lme4_fits.csv", row.names = FALSE, quote = FALSE)
write.csv(columns, "columns.csv", row.names = FALSE, quote = FALSE)
packages <- c("lme4", "lmerTest", "nlme", "mlmRev", "Matrix")
write.csv(data.frame(
  software = c("R", packages, "BLAS"),
  version = c(paste(R.version$major, R.version$minor, sep = "."),
              sapply(packages, function(p) as.character(packageVersion(p))),
              basename(La_library()))),
  "versions.csv", row.names = FALSE, quote = FALSE)
