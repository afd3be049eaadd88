"""One module for each format that data sets are written in; `write(dataset, dest, log)` says what cannot be held."""
