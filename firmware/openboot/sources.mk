# What a person sees of the firmware, and booting from a disk: sources below openboot/,
# without the .c. They use common/{bytes,format,md}.c besides.
openboot_PROMPT = prompt/banner prompt/boot prompt/edit prompt/keep prompt/nodes prompt/numbers \
                  prompt/settings prompt/variables prompt/words \
                  disk/channel disk/clock disk/endpoint disk/ext disk/extmap disk/file disk/label \
                  disk/source disk/vdisk gunzip inflate
