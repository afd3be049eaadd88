"""How much does an accuracy vary? Five-fold cross-validation of a muslin recipe with scikit-learn.

python examples/cross_validate.py
"""

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_score

import muslin
from muslin.data.synthetic import make_garments

garments = make_garments(500, seed=1).dataset
images = garments.images.pixels  # uint8 (500, 28, 28, 1)
names = np.array(garments.target().classes)[garments.labels["label"]]  # "bag", "dress", "shirt", …

classifier = muslin.ImageClassifier(epochs=8, random_state=0)
folds = StratifiedKFold(5, shuffle=True, random_state=0)
scores = cross_val_score(classifier, images, names, cv=folds)

print("accuracy per fold:", ", ".join(f"{score:.1%}" for score in scores))
print(f"mean {scores.mean():.1%}, from {scores.min():.1%} to {scores.max():.1%}")
