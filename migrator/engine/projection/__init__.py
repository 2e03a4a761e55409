"""The Projection: a definition compiled to the one SELECT that everything else is made from."""
