# lme4's fits of one case, answering each line of the input by a line of JSON, as fit_in_python.py does.
#     Rscript fit_in_r.R DATA.csv FORMULA "FACTOR FACTOR"

suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
dat <- read.csv(arguments[1])
for (name in strsplit(arguments[3], " ")[[1]]) dat[[name]] <- factor(dat[[name]])
formula <- as.formula(arguments[2])

status <- "/proc/self/status"
memory <- function(field) {
  if (!file.exists(status)) return("null")
  sprintf("%.3f", as.numeric(gsub("[^0-9]", "", grep(field, readLines(status), value = TRUE))) / 1024)
}
quoted <- function(x) sprintf('"%s"', gsub('["\\\\[:cntrl:]]', " ", x))

measured <- function() {
  invisible(gc())
  before <- memory("VmRSS")
  if (file.exists(status)) try(cat("5", file = "/proc/self/clear_refs"), silent = TRUE)
  start <- Sys.time()
  before_cpu <- proc.time()
  fit <- tryCatch(suppressMessages(suppressWarnings(lmer(formula, dat))), error = function(e) e)
  seconds <- as.numeric(Sys.time() - start, units = "secs")
  cpu <- sum((proc.time() - before_cpu)[c("user.self", "sys.self")])
  if (inherits(fit, "error")) return(sprintf('{"failed": %s}', quoted(conditionMessage(fit))))
  sprintf('{"seconds": %.7f, "cpu": %.3f, "before": %s, "peak": %s, "criterion": %.10f, "evaluations": %d, "converged": %s, "engine": %s}',
          seconds, cpu, before, memory("VmHWM"), -2 * as.numeric(logLik(fit)), fit@optinfo$feval,
          if (fit@optinfo$conv$opt == 0) "true" else "false", quoted(fit@optinfo$optimizer))
}

# OpenBLAS starts its threads when it is loaded and R has one, so the process's threads are the BLAS's.
about <- function() {
  threads <- length(list.files("/proc/self/task"))
  sprintf('{"versions": {"R": %s, "lme4": %s, "Matrix": %s}, "blas": [%s]}', quoted(as.character(getRversion())),
          quoted(packageDescription("lme4")$Version), quoted(packageDescription("Matrix")$Version),
          quoted(sprintf("%s, %s threads", basename(La_library()), threads)))
}

input <- file("stdin", "r")
while (length(line <- readLines(input, 1)) > 0) cat(if (line == "fit") measured() else about(), "\n", sep = "")
