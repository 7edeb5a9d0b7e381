"""torchvision on fakel: datasets, transforms, models and utilities for images."""
