"""What doit sees: tasks, commands, loader, backend and reporter."""
