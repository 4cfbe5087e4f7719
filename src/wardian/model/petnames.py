"""Names for containers that nobody named: `adjective-animal`."""

import random

_ADJECTIVES = """
able agile airy alert amber ample apt azure balmy bold brave breezy brief bright brisk bronze calm candid
careful casual cheery chief civil clean clear clever cosmic cosy crisp curious daring dapper dear deft
eager early earnest easy elegant epic even exact fair famous fancy fast fine firm fleet fluent fond frank
free fresh gentle glad golden good grand great green handy happy hardy hearty honest humble ideal jolly
jovial just keen kind large light lively local loyal lucid lucky mellow merry mighty mild modest neat
nimble noble novel open patient placid polite prime proud quick quiet rapid ready robust rosy round royal
serene sharp shiny silent silver smart smooth snug solid spry stable steady stout sunny sure swift tidy
tranquil true upbeat valid vivid warm willing wise witty young zesty
""".split()  # noqa: SIM905

_ANIMALS = """
albatross alpaca anchovy antelope badger barnacle bat beaver bee beetle bison bobcat buffalo bullfinch camel
caribou carp cat chamois cheetah chicken chinchilla chipmunk cicada cod condor coral cormorant cougar crab
crane cricket crow cuckoo curlew deer dingo dolphin donkey dormouse dove dragonfly duck eagle eel egret elk
emu ermine falcon ferret finch firefly flamingo fox frog gazelle gecko gerbil gibbon giraffe goat goldfish
goose grebe grouse gull hamster hare hawk hedgehog heron herring hoopoe horse ibex ibis iguana jackal
jackdaw jay kestrel kingfisher kiwi koala lark lemming lemur leopard linnet lizard llama lobster lynx
macaw magpie mallard marmot marten meerkat mole mongoose moose mouse narwhal newt nightingale ocelot octopus
okapi oriole osprey ostrich otter owl oyster panda panther parrot partridge pelican penguin perch pheasant
pigeon pika plover pony porpoise puffin puma quail rabbit raccoon raven reindeer robin salmon sardine seal
shrew skylark sparrow squid squirrel starling stork sturgeon swallow swan tapir tern thrush tiger toad
toucan trout turtle viper vole wagtail walrus weasel whale wolf wombat woodpecker wren yak zebra
""".split()  # noqa: SIM905


def random_name(rng: random.Random) -> str:
    """Two words that make a valid container name; one of some twenty thousand."""
    return f"{rng.choice(_ADJECTIVES)}-{rng.choice(_ANIMALS)}"
