"""The process that predicts and the one that tunes: what they are asked, and what they find."""
