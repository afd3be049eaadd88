"""Products that are probably listed twice: pairs of products with photos that show the same thing."""
