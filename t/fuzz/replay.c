/*
 * Gives files to a fuzz target, each in a block of exactly its size, and says
 * how many there were; without libFuzzer, so that any compiler will do.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
replay(const char *name)
{
    FILE     *file;
    long      size;
    uint8_t  *data;

    file = fopen(name, "rb");

    if (file == NULL || fseek(file, 0, SEEK_END) != 0
        || (size = ftell(file)) < 0)
    {
        perror(name);
        exit(1);
    }

    rewind(file);

    data = malloc(size);

    if (data == NULL || fread(data, 1, size, file) != (size_t) size) {
        perror(name);
        exit(1);
    }

    /* the last one before a crash */
    printf("%s\n", name);
    fflush(stdout);

    (void) LLVMFuzzerTestOneInput(data, size);

    free(data);
    fclose(file);
}


int
main(int argc, char **argv)
{
    int  i;

    for (i = 1; i < argc; i++) {
        replay(argv[i]);
    }

    printf("replayed %d\n", argc - 1);

    return 0;
}
