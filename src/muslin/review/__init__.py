"""The review loop: a store of products, predictions and people's decisions, and the queue that they work on."""
