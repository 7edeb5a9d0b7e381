"""Recurrent layers, forward and backward, on the steps that `recurrence` has for both."""
