"""Every command with 1 GB of address space, on ordinary and on hostile files: a result, or an error that says why."""
