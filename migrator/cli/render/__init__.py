"""Screens: values of the model as lines of plain text. Nothing here prints, and nothing here colours."""
