"""Blocks dropped and swapped after training, and through how many branches the gradient comes."""
