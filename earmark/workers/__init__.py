"""Work outside the main thread: a pool of processes, and threads that read ahead."""
