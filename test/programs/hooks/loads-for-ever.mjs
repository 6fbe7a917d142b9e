// Cannot be loaded in its time.
for (;;);
