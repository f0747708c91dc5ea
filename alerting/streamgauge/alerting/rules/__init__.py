"""Alert rules: what a rule file may say, how it is read, and what is refused at load."""
