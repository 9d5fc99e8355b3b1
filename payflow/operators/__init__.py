"""
Operators: how people get into the admin, and how others are kept out.

`authentication` decides who is let in, `tries` how often somebody may try, `hashing` that passwords
never starve the API, `trail` what is kept of it, `pages` what a person sees.
"""
