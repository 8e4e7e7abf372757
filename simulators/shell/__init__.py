"""What shell commands would print and change, computed on what is known of the files. Nothing is ever executed."""
