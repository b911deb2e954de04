"""The data set: checked before anything is launched, then tokenised with a count of what is left out."""
