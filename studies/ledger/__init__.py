"""Claims, what the measured numbers of all studies say of them, and the page that shows all results."""
