"""The network: cross-blocks, and the UniverSeg that is made of them."""
