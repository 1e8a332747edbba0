from engine.threads import wait_politely

wait_politely()  # tests share the machine with the processes they start
