"""The tables of the papers: rows as data, what a row needs, its training and evaluation, and a page of figures."""
