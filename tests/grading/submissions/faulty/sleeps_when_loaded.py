"""Never gets loaded. -> was still running after 1 s, the limit; it loops for ever, or is very slow, when it was loaded"""

import time

while True:
    time.sleep(1)
