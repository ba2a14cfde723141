# Prints, as JSON, what nlme prints of fits in Pinheiro and Bates (2000); these are entries of published.json, beside what
# was read in publications.
#
#   apt-get install --no-install-recommends r-base-core r-cran-nlme r-cran-jsonlite
#   cd data && Rscript published.R

suppressMessages({ library(nlme); library(jsonlite) })
options(digits = 5, contrasts = c("contr.treatment", "contr.poly"))     # digits as in nlme's scripts of the book
shown <- function(x, digits = 5) trimws(format(unname(x), digits = digits))
version_of <- function(package) paste(package, packageVersion(package))

of_lme <- function(name, fit, data, form, chapter, blocks, corr = NULL) {
  table <- summary(fit)$tTable
  v <- trimws(VarCorr(fit)[, "StdDev"])
  v <- v[v != ""]
  named <- function(x) as.list(setNames(x, rownames(table)))
  claimed <- list(
    beta = named(shown(table[, "Value"])), se = named(shown(table[, "Std.Error"])), df = named(as.character(table[, "DF"])),
    sd = as.list(setNames(v, c(blocks, "Residual"))),
    llf = shown(as.numeric(logLik(fit))), aic = shown(AIC(fit)), bic = shown(summary(fit)$BIC))
  if (length(corr)) claimed$corr <- as.list(setNames(setdiff(trimws(VarCorr(fit)[, "Corr"]), c("", "Corr", "(Intr)")), corr))
  list(name = name, source = paste0(chapter, ", printed by ", version_of("nlme")), data = data, form = form,
       reml = fit$method == "REML", claimed = claimed)
}

book <- function(part) paste0("Pinheiro and Bates (2000), ", part)
Unbalanced <- Machines[-c(2, 3, 6, 8, 9, 12, 19, 20, 27, 33), ]
rail <- lme(travel ~ 1, Rail, ~ 1 | Rail)
machines <- lme(score ~ Machine, Machines, ~ 1 | Worker / Machine)
unbalanced <- lme(score ~ Machine, Unbalanced, ~ 1 | Worker / Machine)
pixel <- lme(pixel ~ day + I(day^2), Pixel, list(Dog = ~ day, Side = ~ 1))
oats <- lme(yield ~ nitro, Oats, ~ 1 | Block / Variety)
ortho <- lme(distance ~ age * Sex, Orthodont, ~ 1 | Subject)
slopes <- lme(distance ~ age * Sex, Orthodont, ~ age | Subject)        # growth data of Pothoff and Roy
byworker <- lme(score ~ Machine, Machines, ~ Machine - 1 | Worker)
rats <- lme(weight ~ Time * Diet, BodyWeight, ~ Time | Rat)
oxboys <- lme(height ~ age, Oxboys, ~ age | Subject)
nested <- c("Worker", "Worker:Machine")
machine_form <- "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)"
found <- list(
  of_lme("Rail", rail, "Rail", "travel ~ 1 + (1 | Rail)", book("1.1"), "Rail"),
  of_lme("Rail, ML", update(rail, method = "ML"), "Rail", "travel ~ 1 + (1 | Rail)", book("1.1"), "Rail"),
  of_lme("Machines", machines, "Machines", machine_form, book("1.3"), nested),
  of_lme("Machines, unbalanced", unbalanced, "MachinesUnbalanced", machine_form, book("1.3"), nested),
  of_lme("Oats", oats, "Oats", "Yield ~ nitro + (1 | Block) + (1 | Block:Variety)", book("1.6"), c("Block", "Block:Variety")),
  of_lme("Orthodont", ortho, "Orthodont", "distance ~ age * Sex + (1 | Subject)", book("1.4"), "Subject"),
  of_lme("Orthodont, slopes", slopes, "Orthodont", "distance ~ age * Sex + (age | Subject)", book("4.2"),
         c("Subject", "Subject:age"), "Subject (Intercept, age)"),
  of_lme("Orthodont, slopes, ML", update(slopes, method = "ML"), "Orthodont", "distance ~ age * Sex + (age | Subject)",
         book("4.2"), c("Subject", "Subject:age"), "Subject (Intercept, age)"),
  of_lme("Machines by Worker", byworker, "Machines", "score ~ Machine + (0 + Machine | Worker)", book("1.3"),
         paste0("Worker:Machine[", c("A", "B", "C"), "]")),
  of_lme("BodyWeight", rats, "BodyWeight", "weight ~ Time * Diet + (Time | Rat)", book("5.2"), c("Rat", "Rat:Time"),
         "Rat (Intercept, Time)"),
  of_lme("Oxboys", oxboys, "Oxboys", "height ~ age + (age | Subject)", book("3.1"), c("Subject", "Subject:age"),
         "Subject (Intercept, age)"),
  of_lme("Pixel", pixel, "Pixel", "pixel ~ day + I(day**2) + (day | Dog) + (1 | Dog:Side)", book("1.5"), 
         c("Dog", "Dog:day", "Dog:Side"), "Dog (Intercept, day)"))
cat(toJSON(found, auto_unbox = TRUE, pretty = TRUE), "\n")
