error 'no such thing'
