raise ImportError('broken')  # HERE: broken
