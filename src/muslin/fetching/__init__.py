"""Photos behind addresses: from the cells of a shop's export to files, over connections to public hosts alone."""
