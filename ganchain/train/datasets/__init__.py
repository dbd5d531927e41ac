"""What the recipes learn from: pictures, varied at random, and what their teacher says of them."""
