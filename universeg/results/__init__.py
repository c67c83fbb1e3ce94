"""What is told of masks, whoever made them: measures, pictures, one report."""
