"""What people and programs read: a failure as text, the table at the end, the results as JSON (report)."""
