"""What is wrong with a data set: arrays and a Dataset in, findings out. `CHECKS` lists every check.

`compute_image_stats` decodes each image once; everything else works on what that left behind. Nothing is written here
but the CSV files of `exclusions`, and the original data are never touched.
"""
