"""Who answers and what they do: the dialplan, the book of far ends, their scripts, the called side played out."""
