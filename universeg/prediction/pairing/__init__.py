"""Which files of a folder are images, which are their masks, and how a mask is had from them."""
