"""golib"""
