"""The run: its nine steps, what watches over them, and how all of it is undone."""
