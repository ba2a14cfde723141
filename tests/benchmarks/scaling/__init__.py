"""What the benchmark is made of: cases, programs that fit them, tables, growth with n and p, plots."""
