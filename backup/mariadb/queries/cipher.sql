-- By which cipher this session is secured; nothing where it is not.
SHOW SESSION STATUS LIKE 'Ssl_cipher'
