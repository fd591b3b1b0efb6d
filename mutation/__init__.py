"""Mistakes of the kinds that people make, put into the mixin one at a time: does anything notice?"""
