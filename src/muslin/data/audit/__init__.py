"""Faults of a data set: arrays and a Dataset in, findings out. `CHECKS` lists every check.

`compute_image_stats` decodes each image once; all checks work on its result. Nothing is written here but the CSV
files of `exclusions`, and the original data are never changed.
"""
