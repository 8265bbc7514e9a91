"""The run: its nine steps, what supervises them, and how they are undone."""
