"""What images are made of when networks see them: numbers from 0 to 1, then normalised as for ImageNet."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
