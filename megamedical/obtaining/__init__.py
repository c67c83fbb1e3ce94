"""Archives from wherever they are: mirrors, servers, collections, a user's downloads."""
