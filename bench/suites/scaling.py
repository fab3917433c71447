TITLE = ''
