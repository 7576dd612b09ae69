"""Networks and results in the terms of other libraries: scikit-learn's estimators, pandas's tables."""
