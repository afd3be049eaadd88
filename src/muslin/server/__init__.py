"""`muslin serve`: models behind HTTP.

Read from `app.create_app` down: `predict_routes` takes a request apart, `decoding` makes pixels of its images,
`batcher` runs those of several requests together, and `results` makes JSON of what comes out.
"""
