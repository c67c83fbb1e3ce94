"""Archives into folders, whatever they are called and whoever made them."""
