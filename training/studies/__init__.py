"""Questions asked of a trained network: thresholds, rivals, what it has learned by mistake."""
