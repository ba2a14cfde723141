lmer
